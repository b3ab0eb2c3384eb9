"""Networks: two CNNs from scratch, pre-trained backbones, and the preprocessing that belongs to their weights."""
