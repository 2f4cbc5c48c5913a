"""What users write. Readers raise ``TallyfyValidationError`` if a value is invalid, naming the argument."""
