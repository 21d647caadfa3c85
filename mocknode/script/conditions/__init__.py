"""What `wait` and `expect` can look at, one file each."""
