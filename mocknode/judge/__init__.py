"""The judge of a load balancer: checks that drive traffic through it, and verdicts from what was recorded."""
