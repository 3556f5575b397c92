"""Jobs, runs, device results and platform detections in the API."""
