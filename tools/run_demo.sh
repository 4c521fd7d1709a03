#!/usr/bin/env bash
# make run: shows the demo checkpoint pictures, spoken clips and questions, prints what it answers, and says how to use one's own checkpoint.
set -eu
g3n=$1
demo=models/demo

ask() {  # ask "what is shown" arguments...
  local about=$1
  shift
  printf '\n> %s\n' "$about"
  "$g3n" run -m "$demo" --temperature 0 "$@" </dev/null
}

echo "The demo checkpoint is a real Gemma 3n, trained on shapes and a few spoken words; it is 500 times smaller than Google's."
ask "[star-and-square.png] What color is the star?" --image $demo/media/star-and-square.png "What color is the star?"
ask "[ring-over-cross.png] List the shapes as JSON." --image $demo/media/ring-over-cross.png "List the shapes as JSON."
ask "[red-circle.png] Describe the image." --image $demo/media/red-circle.png "Describe the image."
ask "[three-seven-one.wav] Transcribe the audio." --audio $demo/media/three-seven-one.wav "Transcribe the audio."
ask "[star-and-square.png] [what-color-is-the-star.wav]" --image $demo/media/star-and-square.png --audio $demo/media/what-color-is-the-star.wav ""
ask "What is the capital of Norway?" "What is the capital of Norway?"
ask "Count to six." "Count to six."
cat <<END

Your own checkpoint (a folder as Hugging Face has it, an id in your hub cache, a .g3n bundle or a .gguf file):
  $g3n run -m ~/models/gemma-3n-E2B-it --image photo.jpg "What is in this picture?"
  $g3n chat -m google/gemma-3n-E2B-it --dtype bf16
  $g3n --help
END
