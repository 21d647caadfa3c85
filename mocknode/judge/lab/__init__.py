"""What a check works with: its cluster and balancer, the front door, the preflight, and the clean-up afterwards."""
