"""From arrays and options to a plan, and from the plan to its result."""
