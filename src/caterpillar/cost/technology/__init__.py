"""What circuits cost at a node: memories from CACTI, wires from geometry, published figures, scaling laws."""
