// What the routes do. The first group answers on the I/O thread, the second runs in a worker; all may throw ApiError.
#pragma once
#include <memory>

#include "server/service.h"

namespace g3n::server {

void health(Call& call);
void live(Call& call);
void root(Call& call);
void web_file(Call& call);
void metrics(Call& call, std::int64_t connections);
void models(Call& call);
void model(Call& call);
void props(Call& call);

void tokenize(Call& call);
void detokenize(Call& call);
void tokenizer_info(Call& call);
void apply_template(Call& call);
void chat_completions(const std::shared_ptr<Call>& call);
void chat_input_tokens(Call& call);
void completions(const std::shared_ptr<Call>& call);

}  // namespace g3n::server
