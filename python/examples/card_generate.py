# The model card's second snippet; only the import of transformers is another, and the model and the picture are on the disk.
from g3n.transformers import AutoProcessor, Gemma3nForConditionalGeneration  # was: from transformers import ...
from PIL import Image
import torch

model_id = "models/demo"
image = Image.open("models/demo/media/star-and-square.png")

model = Gemma3nForConditionalGeneration.from_pretrained(model_id, device_map="auto", torch_dtype=torch.bfloat16).eval()
processor = AutoProcessor.from_pretrained(model_id)

prompt = "<start_of_image> in this image, there is"
model_inputs = processor(text=prompt, images=image, return_tensors="pt")
input_len = model_inputs["input_ids"].shape[-1]

with torch.inference_mode():
    generation = model.generate(**model_inputs, max_new_tokens=100, do_sample=False)
    generation = generation[0][input_len:]

decoded = processor.decode(generation, skip_special_tokens=True)
print(decoded)
