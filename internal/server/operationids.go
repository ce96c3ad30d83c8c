package server

// OperationIDs returns the ids of all operations, in the order of the documentation.
func OperationIDs() []string {
	var ids []string
	for _, op := range new(Server).operations() {
		ids = append(ids, op.id)
	}
	return ids
}
