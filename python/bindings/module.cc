// g3n._g3n: the classes under g3n.Engine and its kin. Thin: values in, one call, values out; g3n/*.py holds what users
// see.
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings_error.h"
#include "boxes.h"
#include "call.h"
#include "convert.h"
#include "process.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace g3n::python {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kExitTime{10'000};

milliseconds to_milliseconds(double seconds) { return milliseconds(static_cast<std::int64_t>(seconds * 1000)); }

// f() with the GIL released.
template <class F>
auto unlocked(F&& f) {
  const Unlocked no_gil;
  return f();
}

// The last holder frees weights or caches and joins threads: not with the GIL.
template <class T>
void let_go(std::shared_ptr<T>& held) {
  if (!held) return;
  PyThreadState* const thread = PyEval_SaveThread();
  held.reset();
  PyEval_RestoreThread(thread);
}

// An owned numpy array over the values.
template <class T>
nb::ndarray<nb::numpy, T> to_array(std::vector<T> values, std::vector<std::size_t> dims) {
  auto* owned = new std::vector<T>(std::move(values));
  const nb::capsule owner(owned, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return {owned->data(), dims.size(), dims.data(), owner};
}

// ---- errors ---------------------------------------------------------------------------------------------------------

void raise(const char* name, const char* message) {
  const nb::object type = nb::module_::import_("g3n.errors").attr(name);
  PyErr_SetString(type.ptr(), message);
}

const char* class_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return "InvalidArgument";
    case ErrorCode::kNotFound: return "NotFound";
    case ErrorCode::kBadFile: return "BadFile";
    case ErrorCode::kUnsupported: return "Unsupported";
    case ErrorCode::kContextFull: return "ContextFull";
    case ErrorCode::kCancelled: return "Cancelled";
    case ErrorCode::kOutOfMemory: return "OutOfMemory";
    case ErrorCode::kInternal: return "InternalError";
  }
  return "InternalError";
}

void translate(const std::exception_ptr& problem, void*) {
  try {
    std::rethrow_exception(problem);
  } catch (const Error& error) {
    raise(class_of(error.code()), error.what());
  } catch (const BindingError& error) {
    raise(error.name(), error.what());
  } catch (const std::bad_alloc&) {
    raise("OutOfMemory", "the machine has too little memory for this request");
  }
}

// ---- results --------------------------------------------------------------------------------------------------------

nb::list to_list(const std::vector<TokenLogprob>& tokens) {
  nb::list list;
  for (const TokenLogprob& token : tokens) list.append(nb::make_tuple(token.id, token.logprob, token.top));
  return list;
}

// ([log-probability], [is the likeliest], [top], total)
nb::tuple to_tuple(const Score& score) {
  std::vector<float> logprobs;
  std::vector<bool> greedy;
  nb::list top;
  for (const TokenLogprob& token : score.tokens) {
    logprobs.push_back(token.logprob);
    greedy.push_back(token.is_likeliest);
    top.append(token.top);
  }
  return nb::make_tuple(logprobs, greedy, top, score.total);
}

nb::dict to_dict(const Answer& answer) {
  const Timings& t = answer.timings;
  nb::dict timings;
  timings["queue_seconds"] = t.queue_seconds;
  timings["encode_seconds"] = t.encode_seconds;
  timings["prefill_seconds"] = t.prefill_seconds;
  timings["decode_seconds"] = t.decode_seconds;
  timings["prefilled_tokens"] = t.prefilled_tokens;
  nb::dict dict;
  dict["text"] = answer.text;
  dict["ids"] = answer.ids;
  dict["finish_reason"] = finish_reason_name(answer.finish_reason);
  dict["stop"] = answer.stop.empty() ? nb::none() : nb::cast(answer.stop);
  dict["seed"] = answer.seed;
  dict["prompt_tokens"] = answer.prompt_tokens;
  dict["cached_tokens"] = answer.prompt_tokens - t.prefilled_tokens;
  dict["logprobs"] = to_list(answer.logprobs);
  dict["prompt_logprobs"] = to_list(answer.prompt_logprobs);
  dict["timings"] = timings;
  return dict;
}

// Dropping it cancels what it stands for.
class PyCall {
 public:
  PyCall(std::shared_ptr<Call> call, std::shared_ptr<EngineBox> engine, std::function<nb::object(Call&)> result)
      : call_(std::move(call)), engine_(std::move(engine)), result_(std::move(result)) {}
  PyCall(PyCall&&) = default;
  ~PyCall() {
    if (!call_) return;
    if (pid_ != getpid()) {  // a forked child: what the parent's threads hold stays as it is
      new std::shared_ptr<Call>(std::move(call_));
      new std::shared_ptr<EngineBox>(std::move(engine_));
      new std::function<nb::object(Call&)>(std::move(result_));
      return;
    }
    call_->cancel();
    result_ = nullptr;
    let_go(call_);
    let_go(engine_);
  }

  Call& get() const {
    Process::get().expect_time();
    if (pid_ != getpid())
      throw BindingError("ForkError",
                         "this request belongs to the process that forked this one: load the model in the child");
    return *call_;
  }
  nb::object result() const {
    const Inside inside;
    return result_(get());
  }

 private:
  pid_t pid_ = getpid();
  std::shared_ptr<Call> call_;
  std::shared_ptr<EngineBox> engine_;  // alive until the end
  std::function<nb::object(Call&)> result_;
};

nb::object answer_of(Call& call) { return to_dict(call.answer()); }

// ---- engine ---------------------------------------------------------------------------------------------------------

class PyEngine {
 public:
  explicit PyEngine(std::shared_ptr<EngineBox> box) : box_(std::move(box)) {}
  PyEngine(PyEngine&&) = default;
  ~PyEngine() { let_go(box_); }
  const std::shared_ptr<EngineBox>& box() const { return box_; }
  std::shared_ptr<Engine> use() const { return box_->use(); }

 private:
  std::shared_ptr<EngineBox> box_;
};

// Warnings of the library, from any of its threads, until Python asks for them.
class Warnings {
 public:
  void put(const std::string& text) {
    std::lock_guard lock(mutex_);
    texts_.push_back(text);
  }
  std::vector<std::string> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(texts_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> texts_;
};
Warnings& warnings() {
  static auto* const all = new Warnings;
  return *all;
}

PyCall load(const nb::dict& given) {
  EngineOptions options = to_engine_options(given);
  const auto engine = std::make_shared<std::shared_ptr<Engine>>();
  options.on_warning = [](const std::string& text) { warnings().put(text); };
  auto work = [engine, options = std::move(options)](Call& call) mutable {
    options.on_progress = [&call](std::int64_t done, std::int64_t total) { call.set_progress(done, total); };
    options.cancelled = call.cancelled();
    std::shared_ptr<Engine> loaded = Engine::open(options);
    if (call.is_cancelled()) throw Error(ErrorCode::kCancelled, "loading was cancelled");
    *engine = std::move(loaded);
  };
  return PyCall(Call::run(engine.get(), std::move(work)), nullptr, [engine](Call& call) {
    call.answer();
    return nb::cast(PyEngine(EngineBox::make(std::move(*engine))));
  });
}

nb::dict info_of(const PyEngine& self) {
  const ModelInfo info = self.use()->info();
  nb::dict dict;
  dict["path"] = info.path;
  dict["hidden"] = info.hidden_size;
  dict["vocab"] = info.vocab_size;
  dict["context"] = info.context;
  dict["modalities"] = nb::make_tuple(info.has_tokenizer, info.has_vision, info.has_audio);
  dict["image_size"] = info.image_size;
  dict["weight_bytes"] = info.weight_bytes;
  dict["load_seconds"] = info.load_seconds;
  dict["kernels"] = info.kernels;
  dict["threads"] = info.threads;
  return dict;
}

PyCall submit(const PyEngine& self, nb::handle prompt, const nb::dict& options, bool hooked) {
  const std::shared_ptr<Engine> engine = self.use();
  Request request{to_prompt(prompt), to_answer_options(*engine, options)};
  auto call = unlocked([&] { return Call::submit(self.box().get(), *engine, std::move(request), hooked); });
  return PyCall(std::move(call), self.box(), answer_of);
}

PyCall prepare(const PyEngine& self, nb::handle prompt) {
  const auto prepared = std::make_shared<std::shared_ptr<const PreparedPrompt>>();
  auto call = Call::run(self.box().get(), [engine = self.use(), prompt = to_prompt(prompt), prepared](Call& running) {
    *prepared = std::make_shared<const PreparedPrompt>(engine->prepare(prompt, running.cancelled()));
  });
  return PyCall(std::move(call), self.box(), [prepared](Call& ended) {
    ended.answer();
    return nb::cast(PreparedBox{*prepared});
  });
}

// Rows of logits of the prompt's positions, which ascend: [rows, vocab].
PyCall logits(const PyEngine& self, const PreparedBox& prompt, std::vector<std::int64_t> positions) {
  const auto rows = std::make_shared<std::vector<float>>();
  auto call = Call::run(self.box().get(), [engine = self.use(), prompt = prompt.prompt,
                                           positions = std::move(positions), rows](Call& running) {
    engine->logits(
        *prompt, positions,
        [&](std::int64_t, std::span<const float> row) { rows->insert(rows->end(), row.begin(), row.end()); },
        running.cancelled());
  });
  const auto vocab = static_cast<std::size_t>(self.use()->info().vocab_size);
  return PyCall(std::move(call), self.box(), [rows, vocab](Call& ended) {
    ended.answer();
    const std::size_t count = rows->size() / vocab;
    return nb::cast(to_array(std::move(*rows), {count, vocab}));
  });
}

PyCall score(const PyEngine& self, const PreparedBox& prefix, nb::handle continuations, int top) {
  std::vector<std::vector<std::int32_t>> texts;
  for (nb::handle ids : continuations) texts.push_back(to_ids(ids, "continuations"));
  const auto scores = std::make_shared<std::vector<Score>>();
  auto call = Call::run(self.box().get(),
                        [engine = self.use(), prefix = prefix.prompt, texts = std::move(texts), top,
                         scores](Call& running) { *scores = engine->score(*prefix, texts, top, running.cancelled()); });
  return PyCall(std::move(call), self.box(), [scores](Call& ended) {
    ended.answer();
    nb::list list;
    for (const Score& one : *scores) list.append(to_tuple(one));
    return nb::object(list);
  });
}

// What the encoder of a picture is fed: float32 [3, height, width].
PyCall preprocess_image(const PyEngine& self, nb::handle part) {
  const auto out = std::make_shared<PixelValues>();
  auto call = Call::run(self.box().get(), [engine = self.use(), medium = to_medium(part), out](Call&) {
    *out = engine->preprocess(std::get<ImagePart>(medium));
  });
  return PyCall(std::move(call), self.box(), [out](Call& ended) {
    ended.answer();
    return nb::cast(to_array(std::move(out->chw),
                             {3, static_cast<std::size_t>(out->height), static_cast<std::size_t>(out->width)}));
  });
}

// Of clips as one batch: [(float32 [frames, mels], uint8 [frames])].
PyCall preprocess_audio(const PyEngine& self, nb::handle parts) {
  std::vector<AudioPart> clips;
  for (nb::handle part : parts) clips.push_back(std::get<AudioPart>(to_medium(part)));
  const auto out = std::make_shared<std::vector<LogMelFrames>>();
  auto call = Call::run(self.box().get(), [engine = self.use(), clips = std::move(clips), out](Call&) {
    *out = engine->preprocess(clips);
  });
  return PyCall(std::move(call), self.box(), [out](Call& ended) {
    ended.answer();
    nb::list list;
    for (LogMelFrames& clip : *out) {
      const auto frames = static_cast<std::size_t>(clip.frames);
      list.append(nb::make_tuple(to_array(std::move(clip.values), {frames, static_cast<std::size_t>(clip.mels)}),
                                 to_array(std::move(clip.valid), {frames})));
    }
    return nb::object(list);
  });
}

// Soft tokens of one medium: float32 [rows, hidden].
PyCall encode_medium(const PyEngine& self, nb::handle part) {
  const auto out = std::make_shared<SoftTokens>();
  auto call = Call::run(self.box().get(), [engine = self.use(), medium = to_medium(part), out](Call& running) {
    *out = engine->encode(medium, running.cancelled());
  });
  return PyCall(std::move(call), self.box(), [out](Call& ended) {
    ended.answer();
    const auto rows = static_cast<std::size_t>(out->rows);
    const std::size_t hidden = out->values.size() / rows;
    return nb::cast(to_array(std::move(out->values), {rows, hidden}));
  });
}

PyCall trace(const PyEngine& self, nb::handle prompt, std::vector<std::string> globs) {
  const auto taps = std::make_shared<std::vector<Tap>>();
  auto call = Call::run(self.box().get(), [engine = self.use(), prompt = to_prompt(prompt), globs = std::move(globs),
                                           taps](Call& running) {
    *taps = engine->trace(prompt, globs, kMostTraceBytes, running.cancelled());
  });
  return PyCall(std::move(call), self.box(), [taps](Call& ended) {
    ended.answer();
    nb::dict dict;
    for (Tap& tap : *taps) dict[tap.name.c_str()] = to_array(std::move(tap.values), {tap.dims.begin(), tap.dims.end()});
    return nb::object(dict);
  });
}

void bind_engine(nb::module_& m) {
  nb::class_<PyEngine>(m, "Engine")
      .def("info", &info_of, nb::sig("def info(self) -> dict[str, typing.Any]"))
      .def("submit", &submit,
           nb::sig("def submit(self, prompt: object, options: dict[str, typing.Any], hooked: bool = False) -> Call"),
           "prompt"_a, "options"_a, "hooked"_a = false)
      .def("prepare", &prepare, "prompt"_a)
      .def("logits", &logits, "prompt"_a, "positions"_a)
      .def("score", &score, "prefix"_a, "continuations"_a, "top"_a)
      .def("preprocess_image", &preprocess_image, "part"_a)
      .def("preprocess_audio", &preprocess_audio, "parts"_a)
      .def("encode_medium", &encode_medium, "part"_a)
      .def("trace", &trace, "prompt"_a, "globs"_a)
      .def(
          "render",
          [](const PyEngine& self, nb::handle prompt) {
            const Prompt chat = to_prompt(prompt);
            const auto engine = self.use();
            return unlocked([&] { return engine->render(std::get<ChatPrompt>(chat)); });
          },
          "prompt"_a)
      .def(
          "tokenize",
          [](const PyEngine& self, nb::handle prompt) {
            const Prompt given = to_prompt(prompt);
            const auto engine = self.use();
            return unlocked([&] { return engine->tokenize(given); });
          },
          "prompt"_a)
      .def(
          "encode",
          [](const PyEngine& self, const std::string& text, bool special) {
            const auto engine = self.use();
            return unlocked(
                [&] { return engine->encode(text, special ? ControlTokens::kParse : ControlTokens::kAsText); });
          },
          "text"_a, "special"_a)
      .def(
          "decode",
          [](const PyEngine& self, nb::handle ids, bool skip_special) {
            const std::vector<std::int32_t> given = to_ids(ids, "ids");
            const auto engine = self.use();
            return unlocked([&] { return engine->decode(given, skip_special); });
          },
          "ids"_a, "skip_special"_a)
      .def(
          "piece", [](const PyEngine& self, std::int32_t id) { return self.use()->piece(id); }, "id"_a)
      .def(
          "id_of", [](const PyEngine& self, const std::string& piece) { return self.use()->id_of(piece); }, "piece"_a)
      .def(
          "bytes_of",
          [](const PyEngine& self, std::int32_t id) {
            const std::string bytes = self.use()->bytes_of(id);
            return nb::bytes(bytes.data(), bytes.size());
          },
          "id"_a)
      .def("pieces", [](const PyEngine& self) { return self.use()->pieces(); })
      .def(
          "default_sampling",
          [](const PyEngine& self) {
            const Sampling sampling = self.use()->default_sampling();
            nb::dict dict;
            dict["temperature"] = sampling.temperature;
            dict["top_k"] = sampling.top_k;
            dict["top_p"] = sampling.top_p;
            dict["min_p"] = sampling.min_p;
            return dict;
          },
          nb::sig("def default_sampling(self) -> dict[str, float]"))
      .def("stop_ids", [](const PyEngine& self) { return self.use()->default_stop_ids(); })
      .def("closed", [](const PyEngine& self) { return !self.box()->is_open(); })
      .def("close", [](const PyEngine& self) {
        const auto box = self.box();
        unlocked([&] { box->close(std::chrono::hours(24)); });
      });
  m.def("load", &load, nb::sig("def load(options: dict[str, typing.Any]) -> Call"), "options"_a);
  m.def("take_warnings", [] { return warnings().take(); });
}

// ---- calls, sessions, prompts ---------------------------------------------------------------------------------------

void bind_call(nb::module_& m) {
  nb::class_<PyCall>(m, "Call")
      .def(
          "wait",
          [](const PyCall& self, double seconds) {
            Call& call = self.get();
            return unlocked([&] { return call.wait_for(to_milliseconds(seconds)); });
          },
          "seconds"_a, "Whether something came, or the call ended, within this time.")
      .def(
          "wait_for_end",
          [](const PyCall& self, double seconds) {
            Call& call = self.get();
            return unlocked([&] { return call.wait_for_end(to_milliseconds(seconds)); });
          },
          "seconds"_a)
      .def(
          "take",
          [](const PyCall& self) -> nb::object {
            const std::optional<Fragment> fragment = self.get().take();
            if (!fragment) return nb::none();
            return nb::make_tuple(fragment->text, fragment->ids, to_list(fragment->logprobs));
          },
          nb::sig("def take(self) -> tuple[str, list[int], list[typing.Any]] | None"),
          "(text, ids, logprobs), or None if there is nothing now.")
      .def(
          "take_row",
          [](const PyCall& self) -> nb::object {
            const Inside inside;
            std::vector<std::int32_t> ids;
            const auto row = self.get().take_row(ids);
            if (!row) return nb::none();
            auto* const held = new std::shared_ptr<std::vector<float>>(row);
            const nb::capsule owner(
                held, [](void* p) noexcept { delete static_cast<std::shared_ptr<std::vector<float>>*>(p); });
            const std::size_t count = ids.size();
            return nb::make_tuple(to_array(std::move(ids), {count}),
                                  nb::ndarray<nb::numpy, float>(row->data(), {row->size()}, owner));
          },
          nb::sig("def take_row(self) -> tuple[typing.Any, typing.Any] | None"),
          "(ids, logits) that wait for the hook, or None. Then give_row.")
      .def("give_row", [](const PyCall& self) { self.get().give_row(); })
      .def("ended", [](const PyCall& self) { return self.get().has_ended(); })
      .def("result", &PyCall::result, nb::sig("def result(self) -> typing.Any"),
           "After the end; raises the call's error.")
      .def("progress", [](const PyCall& self) { return self.get().progress(); })
      .def("event_fd", [](const PyCall& self) { return self.get().event_fd(); })
      .def("cancel", [](const PyCall& self) { self.get().cancel(); });
}

struct PySession {
  explicit PySession(std::shared_ptr<SessionBox> session) : box(std::move(session)) {}
  PySession(PySession&&) = default;
  ~PySession() { let_go(box); }

  std::shared_ptr<SessionBox> box;
};

void bind_session(nb::module_& m) {
  nb::class_<PySession>(m, "Session")
      .def(
          "is_free",
          [](const PySession& self, double seconds) {
            return unlocked([&] { return self.box->is_free(to_milliseconds(seconds)); });
          },
          "seconds"_a)
      .def(
          "reply",
          [](const PySession& self, nb::handle parts, const nb::dict& options, bool hooked) {
            AnswerOptions answer = to_answer_options(*self.box->engine()->use(), options);
            return PyCall(self.box->reply(to_parts(parts), std::move(answer), hooked), self.box->engine(), answer_of);
          },
          nb::sig(
              "def reply(self, parts: list[typing.Any], options: dict[str, typing.Any], hooked: bool = False) -> Call"),
          "parts"_a, "options"_a, "hooked"_a = false)
      .def("undo", [](const PySession& self) { return self.box->undo(); })
      .def("reset", [](const PySession& self) { self.box->reset(); })
      .def(
          "turns",
          [](const PySession& self) {
            nb::list list;
            for (const Session::Turn& turn : self.box->turns()) list.append(nb::make_tuple(turn.role, turn.text));
            return list;
          },
          nb::sig("def turns(self) -> list[tuple[str, str]]"))
      .def("used_context", [](const PySession& self) { return self.box->used_context(); });
  m.def(
      "session",
      [](const PyEngine& engine, const std::string& system) {
        const auto box = std::make_shared<SessionBox>(engine.box(), system);
        engine.box()->add(box);
        return PySession(box);
      },
      "engine"_a, "system"_a);
}

void bind_prompt(nb::module_& m) {
  nb::class_<PreparedBox>(m, "Prompt", "A prompt as the model is fed it, media encoded. Of Engine.prepare; reusable.")
      .def("__len__", [](const PreparedBox& self) { return self.prompt->ids.size(); })
      .def_prop_ro(
          "ids", [](const PreparedBox& self) { return to_array(self.prompt->ids, {self.prompt->ids.size()}); },
          nb::rv_policy::automatic, "int32 [tokens]")
      .def_prop_ro(
          "token_types",
          [](const PreparedBox& self) { return to_array(self.prompt->token_types, {self.prompt->token_types.size()}); },
          nb::rv_policy::automatic, "uint8 [tokens]: 1 image, 3 audio, 0 everything else")
      .def_prop_ro(
          "soft",
          [](const PreparedBox& self) {
            nb::typed<nb::list, nb::typed<nb::tuple, std::int64_t, nb::ndarray<nb::numpy, float>>> list;
            for (const SoftSpan& span : self.prompt->soft) {
              if (self.prompt->token_types[static_cast<std::size_t>(span.first)] == 0)
                continue;  // vectors of control tokens

              const std::size_t width = span.tokens->values.size() / static_cast<std::size_t>(span.tokens->rows);
              const auto begin =
                  span.tokens->values.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(span.row) * width);
              const auto count = static_cast<std::size_t>(span.count);
              std::vector<float> rows(begin, begin + static_cast<std::ptrdiff_t>(count * width));
              list.append(nb::make_tuple(span.first, to_array(std::move(rows), {count, width})));
            }
            return list;
          },
          "[(first position, float32 [rows, hidden])]")
      .def("__repr__", [](const PreparedBox& self) {
        return "<g3n.Prompt " + std::to_string(self.prompt->ids.size()) + " tokens>";
      });
}

// atexit: no thread may come back from here into an interpreter that is ending.
void end() {
  Process::get().begin_exit();
  PyThreadState* const thread = PyEval_SaveThread();
  Process::get().cancel_and_wait(nullptr, kExitTime);
  Process::get().wait_until_outside(kExitTime);
  EngineBox::close_all(kExitTime);
  PyEval_RestoreThread(thread);
}

}  // namespace

NB_MODULE(_g3n, m) {
  nb::set_leak_warnings(false);  // objects that live at the interpreter's end are no news to users
  nb::register_exception_translator(translate);
  m.attr("VERSION") = G3N_VERSION;
  bind_prompt(m);
  bind_call(m);
  bind_engine(m);
  bind_session(m);
  m.def("end", &end);
}

}  // namespace g3n::python
