"""Arrays: where they lie, what surrounds them, and the loops that go over them."""
