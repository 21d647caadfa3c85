"""What `mocknode load` does: start the generator, disturb the nodes meanwhile, match what both sides recorded, and judge it."""
