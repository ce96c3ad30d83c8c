package sandbox

import (
	"runtime"
	"runtime/debug"
	"strings"
)

// Build looks at how this program was made.
func Build() Probe {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Probe{ID: BuildID, Value: "says nothing about itself", Source: "debug.ReadBuildInfo", Remedy: "make build", Effect: "D without CGO_ENABLED=0, at most B without GOEXPERIMENT=runtimesecret"}
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	return buildOf(runtime.Version(), settings)
}

func buildOf(version string, settings map[string]string) Probe {
	p := Probe{ID: BuildID, State: StateOK, Source: "debug.ReadBuildInfo", Remedy: "make build", Effect: "D without CGO_ENABLED=0, at most B without GOEXPERIMENT=runtimesecret"}
	p.Value = version
	if r := settings["vcs.revision"]; r != "" {
		p.Value += ", revision " + r[:min(12, len(r))]
	}
	if settings["vcs.modified"] == "true" {
		p.Value += " with changes"
	}
	if !strings.Contains(","+settings["GOEXPERIMENT"]+",", ",runtimesecret,") {
		p.State, p.Value = StateWeak, p.Value+", without runtimesecret"
	}
	if settings["CGO_ENABLED"] != "0" || settings["-race"] == "true" {
		p.State, p.Value = StateMissing, p.Value+", with cgo"
	}
	return settled(p)
}
