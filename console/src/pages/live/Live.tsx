import { PageTitle } from "../../components/PageTitle";
import { useI18n } from "../../i18n";

/** Events as they arrive. */
export default function Live() {
  const { t } = useI18n();
  return <PageTitle title={t("live.title")} />;
}
