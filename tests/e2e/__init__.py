"""The whole of Tandem as real processes on real servers, and a history of what it answered."""
