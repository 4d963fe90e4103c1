module tidegate.dev/e2e/tools/upstream-crds

go 1.26.1

require (
	github.com/argoproj/argo-cd/v3 v3.5.7
	github.com/argoproj/argo-rollouts v1.10.1
)
