"""What carries a call: one method, behind which httpx or connections of our own stand."""
