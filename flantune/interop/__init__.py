"""What other systems write, read here: promptsource's templates (`promptsource.py`)."""
