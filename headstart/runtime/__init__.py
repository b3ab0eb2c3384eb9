"""What every stage stands on: the cache, downloads, the screen, the device."""
