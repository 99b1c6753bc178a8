// Renders a kustomization and judges what comes out as an API server would: each object strictly by its Go type, each pod by the restricted
// Pod Security Standard. Prints the objects as JSON; complains and fails otherwise.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	security "k8s.io/pod-security-admission/api"
	checks "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

var kinds = map[string]func() any{
	"v1 Namespace":                       func() any { return &core.Namespace{} },
	"v1 ServiceAccount":                  func() any { return &core.ServiceAccount{} },
	"v1 Service":                         func() any { return &core.Service{} },
	"apps/v1 StatefulSet":                func() any { return &apps.StatefulSet{} },
	"policy/v1 PodDisruptionBudget":      func() any { return &policy.PodDisruptionBudget{} },
	"networking.k8s.io/v1 NetworkPolicy": func() any { return &networking.NetworkPolicy{} },
}

func main() {
	if err := judge(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func judge(folder string) error {
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return err
	}
	found := []any{}
	for _, resource := range rendered.Resources() {
		kind := resource.GetApiVersion() + " " + resource.GetKind()
		make, known := kinds[kind]
		if !known {
			return fmt.Errorf("%s: not a kind that is looked at", kind)
		}
		text, err := resource.AsYAML()
		if err != nil {
			return err
		}
		object := make()
		if err := yaml.UnmarshalStrict(text, object, yaml.DisallowUnknownFields); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		if set, is := object.(*apps.StatefulSet); is {
			if err := restricted(&set.Spec.Template); err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
		}
		found = append(found, object)
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

func restricted(pod *core.PodTemplateSpec) error {
	evaluator, err := checks.NewEvaluator(checks.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	level := security.LevelVersion{Level: security.LevelRestricted, Version: security.LatestVersion()}
	for _, result := range evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec) {
		if !result.Allowed {
			return fmt.Errorf("not restricted: %s: %s", result.ForbiddenReason, result.ForbiddenDetail)
		}
	}
	return nil
}
