"""Waiting, end to end: when a wait is over and how, what each look at Tallyfy asks, and who does the looking."""
