"""What this package costs, next to what others cost, measured in the same run on the same machine."""
