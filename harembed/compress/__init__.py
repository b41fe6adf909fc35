"""A network smaller or trained otherwise than a search left it: forms, teachers, transfer, temperature."""
