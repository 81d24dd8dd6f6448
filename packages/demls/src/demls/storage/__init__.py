"""What must survive a crash: one encrypted SQLite file per data folder, written one whole batch at a time."""
