"""What a check works with: clusters and balancers started in lanes, the front door, and the clean-up afterwards."""
