# cmake -DOUT=web_files.cc -DFOLDER=web -DNAMES=index.html,app.js -P embed_web.cmake: the files of the page as a C++ source.
string(REPLACE "," ";" names "${NAMES}")
set(types_html "text/html; charset=utf-8")
set(types_css "text/css; charset=utf-8")
set(types_js "text/javascript; charset=utf-8")
set(types_svg "image/svg+xml")

set(arrays "")
set(rows "")
set(number 0)
foreach(name ${names})
  file(READ ${FOLDER}/${name} hex HEX)
  file(SHA256 ${FOLDER}/${name} digest)
  string(SUBSTRING ${digest} 0 16 digest)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${hex}")
  string(REGEX MATCH "[a-z]+$" ending ${name})
  string(APPEND arrays "constexpr char kFile${number}[] = {${bytes}};\n")
  string(APPEND rows "    {\"${name}\", \"${types_${ending}}\", \"\\\"${digest}\\\"\", {kFile${number}, sizeof kFile${number}}},\n")
  math(EXPR number "${number} + 1")
endforeach()

file(WRITE ${OUT} "// Made by embed_web.cmake.
#include \"server/web_page.h\"

namespace g3n::server {
namespace {
${arrays}constexpr WebFile kFiles[] = {
${rows}};
}  // namespace
std::span<const WebFile> web_files() { return kFiles; }
}  // namespace g3n::server
")
