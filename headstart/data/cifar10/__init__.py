"""CIFAR-10: where it comes from and the layouts it is published in."""
