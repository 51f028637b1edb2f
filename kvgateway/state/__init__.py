"""What a gateway remembers: shared memory of the machine, intents, and the repair queue."""
