"""The wallet that is the person, the files that keep its key, and the words that let a device speak for it."""
