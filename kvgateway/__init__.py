"""The gateway program: races both homes and repairs what a race leaves unequal."""
