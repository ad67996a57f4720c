"""Payment facts become transfers, each booked once. Events that contradict each other stop their payment's money."""
