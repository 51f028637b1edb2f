"""One gateway as processes: a supervisor, its workers, and what each must find before it serves."""
