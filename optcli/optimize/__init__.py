"""Methods that minimize a `Problem`, the one loop that runs them, and the verdict on what they found. numpy only."""
