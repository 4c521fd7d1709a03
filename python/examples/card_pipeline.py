# The model card's first snippet; only the import of pipeline is another, and the model and the picture are on the disk.
from g3n.transformers import pipeline  # was: from transformers import pipeline
import torch

pipe = pipeline(
    "image-text-to-text",
    model="models/demo",
    device="cpu",
    torch_dtype=torch.bfloat16,
)

output = pipe(
    "models/demo/media/star-and-square.png",
    text="<start_of_image> in this image, there is",
)
print(output)
