"""Writing jobs, runs, device results and logs; every status change is a conditional update."""
