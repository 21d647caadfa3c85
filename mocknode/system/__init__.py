"""What the operating system offers: child processes that never outlive us, TCP options, files written atomically."""
