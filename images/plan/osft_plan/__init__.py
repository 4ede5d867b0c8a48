"""What a training will take, before a GPU is asked for: steps, dropped rows, memory, disk and time.

Nothing is loaded: the shapes come from config.json and the headers of safetensors files, the rows are their
lengths. Download, train and `osft plan` use it, so that there is one estimate.
"""
