"""Waiting, told apart from the waiting itself: when a wait is over and how, and what each look at Tallyfy asks."""
