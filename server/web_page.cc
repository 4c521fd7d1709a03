#include "server/web_page.h"

#include <algorithm>

#include "core/ascii.h"
#include "server/endpoints.h"

namespace g3n::server {
namespace {

constexpr std::string_view kPage = "index.html";
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

const WebFile* find_file(std::string_view name) {
  for (const WebFile& file : web_files())
    if (file.name == name) return &file;
  return nullptr;
}

// If-None-Match is a list of tags, each maybe weak, or "*". Ours are quoted and hold no quote.
bool is_known_to_client(const HttpRequest& request, std::string_view etag) {
  const std::string* tags = request.header("if-none-match");
  return tags && (*tags == "*" || tags->find(etag) != std::string::npos);
}

HttpResponse file_response(const HttpRequest& request, const WebFile& file) {
  HttpResponse response;
  // Asked for again each time, so that a page of yesterday never talks to a server of today.
  response.headers = {
      {"Content-Security-Policy", kPolicy}, {"Cache-Control", "no-cache"}, {"ETag", std::string(file.etag)}};
  if (is_known_to_client(request, file.etag)) {
    response.status = 304;
    return response;
  }
  response.headers.emplace_back("Content-Type", std::string(file.type));
  response.body = file.content;
  return response;
}

bool wants_html(const HttpRequest& request) {
  const std::string* accept = request.header("accept");
  return accept && ascii_lower(*accept).find("text/html") != std::string::npos;
}

void send(Call& call, HttpResponse response) {
  call.note(response.status, "", "");
  call.reply(std::move(response));
}

}  // namespace

HttpResponse root_response(const HttpRequest& request) {
  HttpResponse response;
  if (wants_html(request))
    response = file_response(request, *find_file(kPage));
  else
    response = {200, {{"Content-Type", "text/plain; charset=utf-8"}}, "g3n is running\n", {}};
  response.headers.emplace_back("Vary", "Accept");
  return response;
}

HttpResponse web_file_response(const HttpRequest& request, std::string_view name) {
  const WebFile* file = name == kPage ? nullptr : find_file(name);  // its links are those of the path /
  if (!file) throw ApiError(404, "not_found", "the page has no file " + quoted(name));
  return file_response(request, *file);
}

void root(Call& call) { send(call, root_response(call.request)); }
void web_file(Call& call) { send(call, web_file_response(call.request, call.rest)); }

}  // namespace g3n::server
