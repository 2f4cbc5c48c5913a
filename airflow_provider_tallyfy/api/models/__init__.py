"""What Tallyfy says: readers of its JSON, tolerant of what varies, strict about what a decision rests on."""
