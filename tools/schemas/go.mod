// Where the schemas of the tests come from. Nothing here is built.
module osft-pipeline/tools/schemas

go 1.26

require (
	github.com/kubeflow/trainer/v2 v2.3.0
	k8s.io/kubernetes v1.35.4
	sigs.k8s.io/jobset v0.12.0
)
