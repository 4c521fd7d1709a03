// g3n run: one prompt, one answer.
#include "answer_printer.h"
#include "commands.h"
#include "json_text.h"
#include "load_engine.h"
#include "prompt_input.h"

namespace g3n::cli {

int run(const Options& options) {
  Request request;  // everything that can be wrong with it is found before the model is loaded
  request.prompt = make_prompt(options, options.messages ? "" : run_text(options));
  const std::shared_ptr<Engine> engine = open_engine(options);
  request.options = options.answer.over(engine->default_sampling());
  InterruptScope scope(InterruptMode::kCancelThenExit);
  request.options.cancelled = scope.flag();
  AnswerPrinter printer(!options.json, scope);
  Answer answer;
  try {
    answer = engine->generate(request, &printer);
  } catch (const Error&) {
    printer.finish();
    throw;
  }
  printer.finish();
  if (options.json)
    write_stdout(answer_json(answer, *engine) + "\n");
  else if (answer.text.empty())
    write_stdout("\n");
  if (options.stats) print_stats(answer, engine->info().load_seconds);
  return answer.finish_reason == FinishReason::kCancelled ? kExitInterrupted : kExitDone;
}

}  // namespace g3n::cli
