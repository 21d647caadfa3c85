"""`mocknode load`: starts the generator, disturbs the nodes meanwhile, joins what both sides saw, and judges."""
