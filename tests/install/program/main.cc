// The whole of a program that uses an installed g3n: install_test.sh builds it.
#include <g3n/engine.h>

#include <iostream>

int main(int, char** argv) {
  const auto engine = g3n::Engine::open({.model = argv[1]});
  const g3n::ChatPrompt prompt{{g3n::Message::text("user", argv[2])}};
  std::cout << engine->generate({.prompt = prompt, .options = {.sampling = {.temperature = 0}}}).text << "\n";
}
