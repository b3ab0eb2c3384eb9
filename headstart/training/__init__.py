"""One loop for every strategy: what the frozen part gives goes in, a trained trainable part comes out."""
