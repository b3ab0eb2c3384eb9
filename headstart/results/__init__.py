"""What a run left, and what runs say together. Nothing here trains, and nothing needs torch."""
