// The page in the browser (spec/server.md 15): the files of server/web, which are part of the program, and the headers
// that keep them from reaching anything but this server.
#pragma once
#include <span>
#include <string_view>

#include "server/http.h"

namespace g3n::server {

struct WebFile {
  std::string_view name, type, etag, content;  // etag: quoted, of the content alone
};

// In the order of server/CMakeLists.txt; index.html is the page itself.
std::span<const WebFile> web_files();

// GET /: the page for a browser; for others, whose Accept does not name text/html, a line of text.
HttpResponse root_response(const HttpRequest& request);

// GET /web/NAME. Throws ApiError 404 not_found.
HttpResponse web_file_response(const HttpRequest& request, std::string_view name);

}  // namespace g3n::server
