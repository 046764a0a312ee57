"""From a selection to bytes and back: planned in pure code, done by the workers."""
