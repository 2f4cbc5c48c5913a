"""Many runs in one task: what is to be done, who does it at once, and what became of each."""
