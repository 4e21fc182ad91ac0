"""What happens to candidates before anybody looks at them."""
