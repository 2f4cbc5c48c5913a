"""What Tallyfy says. Readers raise ``ValueError`` if an answer is not what they read."""
