package devices

import "slices"

// actuatorTraits are those of what can be commanded. Where two know a key the later
// one is asked.
var actuatorTraits = slices.Concat(
	[]*Trait{
		switchTrait, fanOnOff, light, brightnessMove, brightnessStep, ignored, powerOnBehavior, levelConfig,
		color, colorMode, colorOptions, temperatureStartUp, temperatureMove, temperatureStep, hueMove, hueStep,
		effect, identifiable, identify, ballast,
		coverViaLevel, coverState, coverPosition, coverMode,
		lock, lockState, lockEvents, pinCode, lockUserStatus, autoRelock, soundVolume,
	},
	thermostatTraits(),
	[]*Trait{fan, fanSpeed, thermostatUI, keypadLockout, temperatureDisplay, sirens, siren, squawk, warning},
	sceneTraits(),
	[]*Trait{rawRead, rawWrite, rawCommand, reset},
	[]*Trait{remoteOnOff, remoteLevel, remoteColor, remoteCover, remoteScenes, remoteIdentify},
)
